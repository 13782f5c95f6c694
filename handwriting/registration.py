"""Where a form lies on a scan of it: each scan is turned, shifted and scaled a little, and written on.

First every turn and scale within reach is tried on small pictures, each at its best shift (cross-correlation); then the best
is refined to an affine map on larger ones (enhanced correlation coefficient, Evangelidis and Psarakis 2008).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from handwriting.errors import FormNotFound
from handwriting.image import Pixels

Matrix = NDArray[np.float64]
"""float64 (2, 3): pixels of the reference → pixels of the scan, as columns x, y, 1."""

_COARSE, _MIDDLE, _FINE = 192, 448, 896  # pixels of the longer side
_ANGLES = np.arange(-4.5, 4.51, 0.75)  # degrees
_SCALES = np.arange(0.925, 1.076, 0.0125)
_FARTHEST = 0.1  # shift, in longer sides
_LEAST_ALIKE = 0.6  # correlation; a form with itself, filled in and scanned, has 0.87 to 0.95


def find_form(reference: Pixels, scan: Pixels) -> Matrix:
    """Where the reference's pixels lie on the scan.

    Raises:
        FormNotFound: nothing on the scan looks like the reference, within ± 4.5° and ± 7.5 % of scale and shift.
    """
    longest = max(scan.shape) / max(reference.shape)
    start = np.array([[longest, 0, 0], [0, longest, 0]])
    shift = (np.array(scan.shape[::-1]) - longest * np.array(reference.shape[::-1])) / 2
    start[:, 2] = shift
    found = _coarse(reference, scan, start)
    alike = 0.0
    for size, blur in ((_MIDDLE, 9), (_FINE, 5)):
        found, alike = _refined(reference, scan, found, size, blur)
    if alike < _LEAST_ALIKE:
        raise _not_found(alike)
    return found


def cut_out(scan: Pixels, matrix: Matrix, box: tuple[float, float, float, float]) -> Pixels:
    """What is in a box of the reference, upright and in the scan's resolution."""
    x, y, width, height = box
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    to_box = np.array([[width / size[0], 0, x], [0, height / size[1], y], [0, 0, 1]])
    inverse = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(scan, matrix @ to_box, size, flags=inverse, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def corners(matrix: Matrix, box: tuple[float, float, float, float]) -> tuple[tuple[int, int], ...]:
    """The corners of a box of the reference on the scan, clockwise from the upper left."""
    x, y, width, height = box
    points = np.array([[x, y, 1], [x + width, y, 1], [x + width, y + height, 1], [x, y + height, 1]])
    return tuple((round(float(at_x)), round(float(at_y))) for at_x, at_y in points @ matrix.T)


def _ink(pixels: Pixels, size: int, blur: float) -> NDArray[np.float32]:
    """What is darker than its surroundings, on a picture so large."""
    factor = size / max(pixels.shape)
    shape = (max(8, round(pixels.shape[1] * factor)), max(8, round(pixels.shape[0] * factor)))
    small = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA)
    dark = cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, np.ones((15, 15), np.uint8))
    return np.asarray(cv2.GaussianBlur(dark.astype(np.float32), (0, 0), blur), np.float32)


def _at_size(matrix: Matrix, reference: Pixels, scan: Pixels, size: int) -> Matrix:
    """The map between pictures of the reference and of the scan that are so large."""
    return _rescaled(matrix, max(reference.shape) / size, size / max(scan.shape))


def _rescaled(matrix: Matrix, before: float, after: float) -> Matrix:
    """The map from reference pixels `before` times as large, to scan pixels `after` times as many."""
    linear, shift = matrix[:, :2] * before * after, matrix[:, 2:] * after
    return np.hstack([linear, shift])


def _coarse(reference: Pixels, scan: Pixels, start: Matrix) -> Matrix:
    """The best of all turns and scales, each at its best shift."""
    form, page = _ink(reference, _COARSE, 1.2), _ink(scan, _COARSE, 1.2)
    height, width = (cv2.getOptimalDFTSize(side + _COARSE // 4) for side in page.shape)
    padded = np.zeros((height, width), np.float32)
    padded[: page.shape[0], : page.shape[1]] = page - page.mean()
    of_page = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)
    base = _at_size(start, reference, scan, _COARSE)
    reach = round(_FARTHEST * _COARSE)
    best, found = -1.0, base
    middle = (page.shape[1] / 2, page.shape[0] / 2)
    for angle in _ANGLES:
        for scale in _SCALES:
            turn = cv2.getRotationMatrix2D(middle, float(angle), float(scale))
            matrix = turn @ np.vstack([base, [0, 0, 1]])
            turned = np.zeros_like(padded)
            turned[: page.shape[0], : page.shape[1]] = cv2.warpAffine(form - form.mean(), matrix, page.shape[::-1])
            norm = float(np.linalg.norm(turned)) * float(np.linalg.norm(padded))
            product = cv2.mulSpectrums(of_page, cv2.dft(turned, flags=cv2.DFT_COMPLEX_OUTPUT), 0, conjB=True)
            shifts = cv2.idft(product, flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
            near = np.roll(shifts, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]
            down, right = np.unravel_index(int(near.argmax()), near.shape)
            if norm > 0 and near[down, right] / norm > best:
                best = float(near[down, right] / norm)
                found = matrix + np.array([[0, 0, float(right) - reach], [0, 0, float(down) - reach]])
    return _rescaled(found, _COARSE / max(reference.shape), max(scan.shape) / _COARSE)


def _refined(reference: Pixels, scan: Pixels, matrix: Matrix, size: int, blur: int) -> tuple[Matrix, float]:
    """A better map, and how alike the two are under it: 1 is the same."""
    form, page = _ink(reference, size, 0.8), _ink(scan, size, 0.8)
    start = _at_size(matrix, reference, scan, size).astype(np.float32)
    end = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
    try:
        alike, found = cv2.findTransformECC(form, page, start, cv2.MOTION_AFFINE, end, None, blur)
    except cv2.error as error:  # it does not converge
        raise _not_found(0.0) from error
    return _rescaled(np.asarray(found, np.float64), size / max(reference.shape), max(scan.shape) / size), float(alike)


def _not_found(alike: float) -> FormNotFound:
    return FormNotFound(
        f"the image does not look like the layout's form: {alike:.2f} alike, at least {_LEAST_ALIKE} is expected"
    )
