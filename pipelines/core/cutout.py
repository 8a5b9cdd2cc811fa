import cv2
import numpy as np
from numpy.typing import NDArray


def outline(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = rgb.shape[:2]
    scale = min(1.0, 400 / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    margin = max(2, round(0.02 * max(size)))
    mask = np.zeros(small.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    window = (margin, margin, size[0] - 2 * margin, size[1] - 2 * margin)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(small[..., ::-1]), mask, window, *models, 5, cv2.GC_INIT_WITH_RECT)
    return cv2.resize((mask & 1).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
