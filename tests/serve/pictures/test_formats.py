"""Every kind of still picture that people have, sent to /v1/visual-dialogs, and what is refused with which words.

Each picture is red on its left and blue on its right; what the service keeps of it must be so too.
"""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import dialog.reading.pictures  # noqa: F401 (registers HEIC)

RED, BLUE = (220, 20, 30), (20, 40, 210)
WIDTH, HEIGHT = 64, 40


def scene() -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), RED)
    picture.paste(BLUE, (WIDTH // 2, 0, WIDTH, HEIGHT))
    return picture


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def turned() -> bytes:
    """On its side in the file, upright by its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(scene().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)


def palette(transparency: int | None) -> bytes:
    indexed = scene().quantize(4)
    return saved(indexed, "PNG") if transparency is None else saved(indexed, "PNG", transparency=transparency)


def sixteen_bits_of_colour() -> bytes:
    """A PNG of 16 bits a channel, which Pillow reads and does not write (PNG specification, section 11.2)."""
    rows = np.zeros((HEIGHT, WIDTH, 3), dtype=">u2")
    rows[:, : WIDTH // 2], rows[:, WIDTH // 2 :] = np.array(RED) * 257, np.array(BLUE) * 257

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


OTHERS = [Image.new("RGB", (WIDTH, HEIGHT), "black")]
COLOURED: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: saved(scene(), "PNG"),
    "PNG of 16 bits a channel": sixteen_bits_of_colour,
    "PNG with a palette": lambda: palette(None),
    "PNG with an alpha channel": lambda: saved(scene().convert("RGBA"), "PNG"),
    "JPEG": lambda: saved(scene(), "JPEG", quality=95),
    "progressive JPEG": lambda: saved(scene(), "JPEG", quality=95, progressive=True),
    "CMYK JPEG": lambda: saved(scene().convert("CMYK"), "JPEG", quality=95),
    "JPEG on its side": turned,
    "GIF": lambda: saved(scene(), "GIF"),
    "GIF that moves": lambda: saved(scene(), "GIF", save_all=True, append_images=OTHERS, duration=100),
    "BMP": lambda: saved(scene(), "BMP"),
    "TIFF": lambda: saved(scene(), "TIFF", compression="tiff_lzw"),
    "TIFF of two pages": lambda: saved(scene(), "TIFF", save_all=True, append_images=OTHERS),
    "CMYK TIFF": lambda: saved(scene().convert("CMYK"), "TIFF"),
    "WebP": lambda: saved(scene(), "WEBP", quality=95),
    "lossless WebP": lambda: saved(scene(), "WEBP", lossless=True),
    "WebP that moves": lambda: saved(scene(), "WEBP", save_all=True, append_images=OTHERS, quality=95),
    "AVIF": lambda: saved(scene(), "AVIF", quality=90),
    "HEIC": lambda: saved(scene(), "HEIF", quality=90),
}


async def kept(client: httpx.AsyncClient, data: bytes, name: str) -> np.ndarray:
    """The picture as the service keeps it; its name says nothing about it."""
    response = await client.post("/visual-dialogs", files={"picture": (name, data, "application/octet-stream")})
    assert response.status_code == 201, response.text
    told = response.json()
    assert (told["width"], told["height"]) == (WIDTH, HEIGHT)
    found = await client.get(f"/visual-dialogs/{told['id']}/picture")
    return np.asarray(Image.open(io.BytesIO(found.content)).convert("RGB"), dtype=int)


def halves(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean colours of left and right, away from where they meet."""
    third = WIDTH // 3
    return pixels[:, :third].mean((0, 1)), pixels[:, -third:].mean((0, 1))


@pytest.mark.parametrize("kind", COLOURED)
async def test_every_kind_of_still_picture_is_taken_and_stands_upright(seeing: httpx.AsyncClient, kind: str) -> None:
    left, right = halves(await kept(seeing, COLOURED[kind](), "photo"))
    # CMYK has no profile here, and every decoder turns it into its own red.
    assert np.abs(left - RED).max() < 40
    assert np.abs(right - BLUE).max() < 40


@pytest.mark.parametrize(("mode", "kind"), [("1", "PNG"), ("1", "TIFF"), ("L", "JPEG"), ("I;16", "PNG"), ("LA", "PNG")])
async def test_what_has_no_colour_keeps_its_light(seeing: httpx.AsyncClient, mode: str, kind: str) -> None:
    grey = Image.new("L", (WIDTH, HEIGHT), 0)
    grey.paste(255, (WIDTH // 2, 0, WIDTH, HEIGHT))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    source = deep if mode == "I;16" else grey.convert(mode)
    left, right = halves(await kept(seeing, saved(source, kind), "photo"))
    assert left.max() < 20
    assert right.min() > 235


async def test_what_is_transparent_in_a_palette_is_white(seeing: httpx.AsyncClient) -> None:
    indexed = scene().quantize(4)
    clear = int(np.asarray(indexed)[0, 0])
    left, right = halves(await kept(seeing, palette(clear), "photo"))
    assert left.min() > 245
    assert np.abs(right - BLUE).max() < 40


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"%PDF-1.4 and more", 415, "this is a PDF; expected a JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "this is an SVG drawing"),
        (b"<?xml version='1.0'?><svg/>", 415, "this is an XML or SVG file"),
        (b"<!doctype html><p>hello", 415, "this is a web page"),
        (b"8BPS\0\1" + bytes(40), 415, "this is a Photoshop file"),
        (b"PK\x03\x04" + bytes(40), 415, "this is a zip archive or an office document"),
        (b"\0\0\1\0" + bytes(40), 415, "this is an icon (ICO)"),
        (b"\xff\x0a" + bytes(40), 415, "this is a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), 415, "this is a JPEG 2000 picture"),
        (b"\0\0\0\x18ftypisom" + bytes(40), 415, "this is a video"),
        (b"RIFF\0\0\0\0WAVE" + bytes(40), 415, "this is a recording"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), 415, "this is a camera's raw file"),
        (b"hello, I am a photograph", 415, "this is no picture we can read"),
        (saved(scene(), "PNG")[:60], 422, "the picture is damaged or cut off"),
        (b"", 422, "the picture is empty"),
    ],
)
async def test_what_is_refused_is_called_by_its_name(
    seeing: httpx.AsyncClient, data: bytes, status: int, said: str
) -> None:
    response = await seeing.post("/visual-dialogs", files={"picture": ("photo.jpg", data, "image/jpeg")})
    assert response.status_code == status, response.text
    problem = response.json()
    assert said in problem["detail"]
