"""COCO's JSON of many images out of those of single ones."""

from collections.abc import Iterable
from typing import Any


def join(parts: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """COCO contents of one image each (`iseg.files.export.coco_json`) -> one: ids are renumbered from 1.

    Args:
        parts: (file name to give the image, content).

    A category is known by its name: classes of one name in several images are one.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    ids: dict[str, int] = {}
    for file_name, part in parts:
        own = {category["id"]: ids.setdefault(category["name"], len(ids) + 1) for category in part["categories"]}
        images.append({**part["images"][0], "id": len(images) + 1, "file_name": file_name})
        for annotation in part["annotations"]:
            changed = {
                "id": len(annotations) + 1,
                "image_id": len(images),
                "category_id": own[annotation["category_id"]],
            }
            annotations.append({**annotation, **changed})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}
