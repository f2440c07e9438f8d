"""Every file here is made by the test; none is a photograph of anybody."""

import io
import struct
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dialog.reading.pictures import (
    DamagedPicture,
    PictureLimits,
    PictureRefused,
    PictureTooLarge,
    UnknownPictureFormat,
    open_picture,
)


def two_halves(size: tuple[int, int] = (64, 32), mode: str = "RGB") -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2, 0, *size))
    return picture.convert(mode)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def is_reddish(pixel: Any) -> bool:
    return pixel[0] > 180 and pixel[2] < 80


def png(width: int, height: int, rows: bytes, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG by hand, whatever its header claims."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP", "TIFF"])
def test_each_format_is_read_whatever_it_is_called(kind: str) -> None:
    picture = open_picture(encoded(two_halves(), kind))
    assert (picture.mode, picture.size) == ("RGB", (64, 32))
    assert is_reddish(picture.getpixel((8, 16)))
    assert not is_reddish(picture.getpixel((56, 16)))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("1", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"), ("RGBA", "WEBP")],
)
def test_every_mode_becomes_rgb_with_its_brightness_kept(mode: str, kind: str) -> None:
    source = Image.new("L", (40, 40), 255)
    source.paste(0, (20, 0, 40, 40))
    picture = open_picture(encoded(source.convert(mode), kind))
    assert picture.mode == "RGB"
    assert min(picture.getpixel((5, 20))) > 240
    assert max(picture.getpixel((35, 20))) < 15


def test_sixteen_bits_of_grey_are_scaled_not_clipped() -> None:
    picture = open_picture(png(2, 1, b"\0" + struct.pack(">HH", 0x4000, 0xFFFF), bits=16))
    assert [picture.getpixel((x, 0))[0] for x in (0, 1)] == [0x40, 0xFF]


def test_light_of_any_range_is_shown_from_black_to_white() -> None:
    steps = np.linspace(-3.0, 0.5, 64, dtype=np.float32).reshape(8, 8)
    steps[0, 1] = np.nan
    picture = open_picture(encoded(Image.fromarray(steps), "TIFF"))
    assert picture.getpixel((0, 0)) == (0, 0, 0)
    assert picture.getpixel((7, 7))[0] >= picture.getpixel((0, 4))[0] + 100
    assert len(open_picture(encoded(Image.new("F", (4, 4), 7.0), "TIFF")).getcolors()) == 1


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_photograph_of_a_telephone_that_was_cut_off_is_called_damaged(kind: str) -> None:
    with pytest.raises(DamagedPicture):
        open_picture(encoded(two_halves(), kind)[:40])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_transparent_becomes_white(kind: str) -> None:
    assert min(open_picture(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), kind)).getpixel((4, 4))) > 250


def test_a_transparent_palette_entry_becomes_white() -> None:
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    assert open_picture(encoded(picture, "PNG", transparency=0)).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_as_its_exif_says(orientation: int) -> None:
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste("red", (0, 0, 16, 16))  # the corner at the top left
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera does before it writes that orientation
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = open_picture(encoded(stored, "JPEG", exif=exif, quality=95))
    assert picture.size == (48, 32)
    assert is_reddish(picture.getpixel((4, 4)))
    assert not is_reddish(picture.getpixel((40, 28)))


def test_of_what_moves_or_has_pages_the_first_is_read() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    for kind in ("GIF", "TIFF", "WEBP"):
        picture = open_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
        assert is_reddish(picture.getpixel((10, 10)))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "AVIF"])
def test_a_file_cut_off_is_called_damaged(kind: str) -> None:
    noise = Image.effect_noise((96, 96), 90).convert("RGB")
    with pytest.raises(PictureRefused, match=r"damaged|cut off|no picture"):
        open_picture(encoded(noise, kind)[:60])


def test_metadata_is_left_behind() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8825)[1] = "N"  # a place on the globe
    picture = open_picture(encoded(two_halves(), "JPEG", exif=exif, comment=b"secret"))
    assert picture.info == {}
    assert len(picture.getexif()) == 0
    assert b"secret" not in encoded(picture, "JPEG")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_exif_that_cannot_be_read_does_not_spoil_the_picture() -> None:
    data = encoded(two_halves(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken")
    assert open_picture(data).size == (64, 32)


def test_a_phones_fifty_megapixels_are_decoded_small() -> None:
    data = encoded(Image.new("L", (8192, 6144), 90), "JPEG", quality=20)
    picture = open_picture(data)
    assert picture.size == (1024, 768)
    assert picture.getpixel((500, 500)) == pytest.approx((90, 90, 90), abs=3)


def test_small_pictures_are_not_made_larger() -> None:
    assert open_picture(encoded(two_halves((3, 1)), "PNG")).size == (3, 1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_what_moves_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert is_reddish(open_picture(data).getpixel((8, 8)))


def test_a_bomb_is_refused_by_what_its_header_says() -> None:
    claims = png(20_000, 20_000, b"\0")  # 400 megapixels in 70 bytes
    with pytest.raises(PictureTooLarge) as refusal:
        open_picture(claims)
    assert refusal.value.limit == "picture_pixels"


def test_formats_that_decode_only_whole_may_have_fewer_pixels() -> None:
    with pytest.raises(PictureTooLarge, match=r"5001 x 5000.*25,000,000"):
        open_picture(png(5001, 5000, b"\0"))


def test_sixty_five_megapixels_are_too_many_for_a_jpeg() -> None:
    data = bytearray(encoded(Image.new("L", (16, 16)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 8125, 8000)
    with pytest.raises(PictureTooLarge, match="65,000,000"):
        open_picture(bytes(data))


def test_too_many_bytes_are_refused_unread() -> None:
    with pytest.raises(PictureTooLarge, match="1,001 bytes") as refusal:
        open_picture(b"x" * 1001, limits=PictureLimits(bytes=1000))
    assert refusal.value.limit == "picture_bytes"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><svg/>', "SVG"),
        (b"<!DOCTYPE html><html><body>hello</body></html>", "web page"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\x01\0\x01\0\x10\x10", "ICO"),
        (b"\xff\x0a\x12\x12", "JPEG XL"),
        (bytes.fromhex("0000000c4a584c200d0a870a"), "JPEG XL"),
        (bytes.fromhex("0000000c6a5020200d0a870a"), "JPEG 2000"),
        (b"\0\0\0\x1cftypmp42" + b"\0" * 40, "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a recording"),
        (b"II*\0\x10\0\0\0CR\x02\0" + b"\0" * 40, "raw"),
        (b"PK\x03\x04" + b"\0" * 40, "office document"),
        (b"\x1f\x8b\x08\0", "compressed"),
        (b"SIMPLE  =                    T" + b" " * 2850, "no picture"),  # FITS, whose decoder had a hole
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"hello", "no picture"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(data: bytes, said: str) -> None:
    with pytest.raises(UnknownPictureFormat, match=rf"{said}.*JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF"):
        open_picture(data)


def test_a_picture_with_a_page_behind_it_is_only_a_picture() -> None:
    picture = open_picture(encoded(two_halves(), "PNG") + b"<script>alert(1)</script>")
    assert b"script" not in encoded(picture, "PNG")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.8])
def test_a_picture_that_was_cut_off_is_refused(kind: str, kept: float) -> None:
    noise = Image.effect_noise((96, 96), 90).convert("RGB")
    data = encoded(noise, kind)
    with pytest.raises(PictureRefused):
        open_picture(data[: int(len(data) * kept)])


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(DamagedPicture, match="empty"):
        open_picture(b"")


SAMPLES = [encoded(Image.effect_noise((24, 24), 60).convert("RGB"), kind) for kind in ("JPEG", "PNG", "WEBP", "HEIF")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sample=st.sampled_from(SAMPLES),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=8),
    cut=st.floats(0.2, 1),
)
def test_any_bytes_give_a_picture_or_a_refusal(sample: bytes, flips: list[tuple[int, int]], cut: float) -> None:
    data = bytearray(sample)
    for place, bits in flips:
        data[place % len(data)] ^= bits
    try:
        picture = open_picture(bytes(data[: max(1, int(len(data) * cut))]), limits=PictureLimits(pixels=1_000_000))
    except PictureRefused:
        return
    assert picture.mode == "RGB"
    assert max(picture.size) <= 1024


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_bytes_out_of_nowhere_are_refused(data: bytes) -> None:
    with pytest.raises(PictureRefused):
        open_picture(data)


def test_pictures_open_in_several_threads() -> None:
    opened: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda data=data: opened.append(open_picture(data).size)) for data in SAMPLES * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [(24, 24)] * 12


@pytest.mark.parametrize("name", ["bytes", "pixels", "whole_pixels"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PictureLimits(**{name: 0})
