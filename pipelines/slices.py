"""Parts of the test images that are looked at on their own: by class, stroke width and slant."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.metrics import Labels

Mask = NDArray[np.bool_]
"""bool (N,): which of the images are in the slice."""

_INK = 128
_ENDS = 0.2  # the share of the images in the lowest slice, and that in the highest


def stroke_widths(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """float64 (N,): how wide the strokes of each image are, in pixels from 2 on; 0 without ink.

    Across a long stroke w pixels wide the distances to the nearest pixel of paper are 1, 2, … w / 2 and back: their mean is
    w / 4 + 1 / 2.
    """
    return np.array([_stroke_width((image >= _INK).astype(np.uint8)) for image in images], np.float64)


def slants(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """float64 (N,): how far each character leans, in degrees, to the right above 0; of its second moments, 0 without ink."""
    return np.array([_slant(cv2.moments(image)) for image in images], np.float64)


def slices(labels: Labels, images: NDArray[np.uint8], classes: Sequence[str]) -> dict[str, Mask]:
    """The slices that hold an image, by name: `class 7`, `stroke thin`, `slant left`.

    Thin and thick, left and right are the fifths of these images at either end.
    """
    named = {f"class {label}": labels == index for index, label in enumerate(classes)}
    named |= _thirds("stroke", stroke_widths(images), ("thin", "medium", "thick"))
    named |= _thirds("slant", slants(images), ("left", "upright", "right"))
    return {name: mask for name, mask in named.items() if mask.any()}


def _thirds(what: str, values: NDArray[np.float64], names: tuple[str, str, str]) -> Mapping[str, Mask]:
    low, high = np.quantile(values, (_ENDS, 1 - _ENDS))
    masks = (values < low, (values >= low) & (values <= high), values > high)
    return {f"{what} {name}": mask for name, mask in zip(names, masks, strict=True)}


def _stroke_width(ink: NDArray[np.uint8]) -> float:
    if not ink.any():
        return 0.0
    distances = cv2.distanceTransform(np.pad(ink, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return 4 * float(distances[distances > 0].mean()) - 2


def _slant(moments: Mapping[str, float]) -> float:
    if not moments["mu02"]:
        return 0.0
    return float(np.degrees(np.arctan2(-moments["mu11"], moments["mu02"])))  # y points down
