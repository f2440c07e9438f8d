"""A picture from bytes that anyone may have sent: decoded small, upright, opaque, and nothing else in it.

Only the decoder is trusted, not a file's name or declared type. JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP and TIFF are
read; of what moves or has pages, the first. What is refused raises a `PictureRefused` that says what came and what was
expected.
"""

import io
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

pillow_heif.register_heif_opener()

_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP", "TIFF")
_EXPECTED = "expected a JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF picture"


class PictureRefused(ValueError):
    """Bytes that are not taken as a picture."""


class PictureTooLarge(PictureRefused):
    """More bytes or more pixels than the limits allow; `limit` names which (413)."""

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class UnknownPictureFormat(PictureRefused):
    """Not a picture, or one in a format we do not read (415)."""


class DamagedPicture(PictureRefused):
    """A picture that cannot be decoded: cut off, or wrong inside (422)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureLimits:
    """What is refused before anything is decoded."""

    bytes: int = 20 * 1024**2
    pixels: int = 64_000_000
    """For JPEG, which can be decoded at an eighth of its size: a phone's 50 megapixels must pass."""
    whole_pixels: int = 25_000_000
    """For the formats that can only be decoded whole."""

    def __post_init__(self) -> None:
        for name in ("bytes", "pixels", "whole_pixels"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")


DEFAULT_LIMITS = PictureLimits()


def open_picture(data: bytes, *, limits: PictureLimits = DEFAULT_LIMITS, longest: int = 1024) -> Image.Image:
    """The picture in `data`: RGB, upright, its longer side at most `longest`, without EXIF or any other metadata.

    Transparency becomes white. Raises PictureTooLarge, UnknownPictureFormat or DamagedPicture. It takes a core for up
    to a second or two: call it in a thread, and not in many at once.
    """
    if longest < 1:
        raise ValueError(f"longest is {longest}, expected at least 1 pixel")
    if len(data) > limits.bytes:
        raise PictureTooLarge(
            f"the picture has {len(data):,} bytes, expected at most {limits.bytes:,}", "picture_bytes"
        )
    if not data:
        raise DamagedPicture(f"the picture is empty; {_EXPECTED}")
    try:
        picture = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Image.DecompressionBombError as error:
        raise PictureTooLarge(f"the picture has more than {limits.pixels:,} pixels", "picture_pixels") from error
    except Exception as error:  # Whatever a decoder says about foreign bytes is the bytes' fault.
        raise _damaged(error) from error
    with picture:
        _check_pixels(picture, limits)
        try:
            picture.draft("RGB", (longest, longest))  # JPEG alone heeds it: at least this size, decoded no larger
            # A file may say one size in its header and another inside.
            picture.load()
            _check_pixels(picture, limits)
            # Shrunk before it is turned: the large picture is in memory once.
            small = _opaque(picture)
            small.thumbnail((longest, longest), Image.Resampling.BICUBIC)
            return _bare(_upright(small, picture))
        except PictureRefused:
            raise
        except Exception as error:
            raise _damaged(error) from error


def _check_pixels(picture: Image.Image, limits: PictureLimits) -> None:
    width, height = picture.size
    reducible = picture.format in ("JPEG", "MPO")
    allowed = limits.pixels if reducible else min(limits.pixels, limits.whole_pixels)
    if width * height > allowed:
        raise PictureTooLarge(
            f"the picture has {width} x {height} = {width * height:,} pixels, expected at most {allowed:,} in "
            f"{'a JPEG' if reducible else f'{picture.format} (a JPEG may have {limits.pixels:,})'}",
            "picture_pixels",
        )


def _opaque(picture: Image.Image) -> Image.Image:
    """In RGB, over white where it is transparent."""
    if picture.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip at 255 instead of scaling
        grey = np.asarray(picture).astype(np.int64)
        return Image.fromarray((grey.clip(0, 65535) >> 8).astype(np.uint8), "L").convert("RGB")
    if picture.mode == "F":  # of any range: the darkest becomes black, the brightest white
        light = np.asarray(picture).astype(np.float64)
        light = np.nan_to_num(light, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = light.min(), light.max()
        return Image.fromarray((255 * (light - low) / (high - low or 1)).astype(np.uint8), "L").convert("RGB")
    if picture.has_transparency_data:
        layers = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return picture.convert("RGB")


def _upright(small: Image.Image, source: Image.Image) -> Image.Image:
    """Turned as the source's EXIF says. EXIF that cannot be read turns nothing."""
    try:
        turn = _TURNS.get(source.getexif().get(0x0112, 1))  # Orientation
    except Exception:  # A camera's broken EXIF is no reason to refuse its picture.
        return small
    return small if turn is None else small.transpose(turn)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what undoes it (EXIF 2.32, tag 274)."""


def _bare(picture: Image.Image) -> Image.Image:
    """The pixels alone, in a new picture."""
    return Image.frombytes("RGB", picture.size, picture.tobytes())


def _damaged(error: Exception) -> DamagedPicture:
    return DamagedPicture(f"the picture is damaged or cut off and cannot be decoded ({type(error).__name__}: {error})")


_BEGINNINGS = {
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript file",
    b"8BPS": "a Photoshop file",
    b"PK\x03\x04": "a zip archive or an office document",
    b"\xd0\xcf\x11\xe0": "an office document",
    b"\x1f\x8b": "a compressed file",
    b"\0\0\x01\0": "an icon (ICO)",
    b"icns": "an icon (ICNS)",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"FUJIFILMCCD-RAW": "a camera's raw file",
    b"\x1aE\xdf\xa3": "a video",
    b"ID3": "a recording",
    b"OggS": "a recording",
}
_WORDS = {
    "<svg": "an SVG drawing",
    "<?xml": "an XML or SVG file",
    "<!doctype": "a web page",
    "<html": "a web page",
}
_BOXES = {
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis"), None),
    b"crx ": "a camera's raw file",
}
"""What a file of boxes is, by its brand (ISO 14496-12): None where it is one we read. Any other is a video."""
_RIFF = {b"WEBP": None, b"AVI ": "a video", b"WAVE": "a recording"}


def _unidentified(data: bytes) -> PictureRefused:
    """A file with the right beginning is damaged; any other is something else, named where we know it."""
    what = _named(data)
    if what is None:
        return DamagedPicture(f"the picture is damaged or cut off near its beginning; {_EXPECTED}")
    return UnknownPictureFormat(f"this is {what}; {_EXPECTED}")


def _named(data: bytes) -> str | None:
    """What bytes that no decoder knows are, in words; None for a picture of a kind we read."""
    if data.startswith(b"II*\0") and data[8:10] == b"CR":
        return "a camera's raw file"
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")):
        return None
    if data[4:8] == b"ftyp":
        return _BOXES.get(data[8:12], "a video")
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "no picture we can read")
    for beginning, what in _BEGINNINGS.items():
        if data.startswith(beginning):
            return what
    start = data[:200].decode("utf-8-sig", "replace").lstrip().lower()
    return next((what for word, what in _WORDS.items() if start.startswith(word)), "no picture we can read")
