#!/usr/bin/python3
"""Pages with known text: templates, filled in by number, drawn with Debian's python3-pil and DejaVu.

    pages.py FOLDER [COUNT]     writes page-1.png … and page-1.txt …
"""

import io
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
TOWNS = ["Seoul", "Busan", "Daegu", "Incheon", "Gwangju", "Daejeon"]
GOODS = ["paper", "copper wire", "green tea", "machine parts", "printed books", "rice"]

TEMPLATES = [
    "Invoice {n}\n\nDelivered to the warehouse in {town}:\n{count} boxes of {goods}.\n\nTotal: {price} won",
    "Dear customer,\n\nyour order {n} of {goods} left {town} today.\nThe ferry takes {count} hours.\n\nThank you.",
    "Minutes of meeting {n}\n\nThe people of {town} decided to buy\n{count} loads of {goods} for {price} won each.",
]


def text(number: int) -> str:
    """The text of a page. The same number, the same text."""
    template = TEMPLATES[number % len(TEMPLATES)]
    return template.format(
        n=1000 + number,
        town=TOWNS[number % len(TOWNS)],
        goods=GOODS[(number // 2) % len(GOODS)],
        count=2 + number % 47,
        price=1500 + 250 * (number % 90),
    )


def page(number: int) -> bytes:
    """The page as a PNG of about 150 dpi."""
    image = Image.new("L", (900, 520), 255)
    font = ImageFont.truetype(FONT, 26)
    ImageDraw.Draw(image).multiline_text((60, 60), text(number), font=font, fill=0, spacing=14)
    file = io.BytesIO()
    image.save(file, "PNG", dpi=(150, 150))
    return file.getvalue()


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for each in range(1, 1 + int(sys.argv[2] if len(sys.argv) > 2 else "10")):
        (folder / f"page-{each}.png").write_bytes(page(each))
        (folder / f"page-{each}.txt").write_text(text(each))
