"""What trainer and gateway agree on. The number in a signature's name is the preprocessing contract's."""

IMAGE_SIZE = 28
"""Height and width of the character that a model sees, in pixels."""

SIGNATURE = "characters_v1"
IMAGES = "images"
"""Input of SIGNATURE: uint8 (N, 28, 28), paper 0, ink 255."""
SCORES = "scores"
"""Output of SIGNATURE: float32 (N, K), softmax after calibration."""

CLASSES_SIGNATURE = "classes_v1"
CARD_SIGNATURE = "card_v1"
INDEX = "index"
"""Input of CLASSES_SIGNATURE and CARD_SIGNATURE: int32 (N)."""
LABEL = "label"
"""Output of CLASSES_SIGNATURE: string (N), the class's name in UTF-8."""
THRESHOLD = "threshold"
"""Output of CLASSES_SIGNATURE: float32 (N), the confidence below which the class is rejected."""
CARD = "card"
"""Output of CARD_SIGNATURE: string (N), the model card as JSON, the same for each index."""

PAPER, PANEL = "paper", "panel"
FIELD = "field"
"""Key of the card: what several characters stand on. PAPER, also without the key, or PANEL: a number plate, say."""
PATTERNS = "patterns"
"""Key of the card: patterns by name, as handwriting/constraint.py has them; `pattern=@NAME` asks for one."""

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
CARD_FILE = "assets.extra/model_card.json"
