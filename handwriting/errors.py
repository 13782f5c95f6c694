"""What can be wrong with an image.

ImageError
├── InvalidBase64      not base64
├── ImageTooLarge      more bytes or pixels than are accepted
├── UnsupportedImage   not an image, of a format that is not accepted, or truncated
├── TooManyCharacters  more of them on a field than are read at once
├── FormNotFound       the form of a layout is not on it
└── NoInk              nothing on it to recognise
"""


class ImageError(ValueError):
    """The image cannot be recognised; the message says what came and what is accepted."""


class InvalidBase64(ImageError):
    """The text is not base64."""


class ImageTooLarge(ImageError):
    """The image has more bytes or pixels than are accepted."""


class UnsupportedImage(ImageError):
    """The bytes are no image, one of a format that is not accepted, or a truncated one."""


class TooManyCharacters(ImageError):
    """The field holds more than is read at once."""


class FormNotFound(ImageError):
    """The form of a layout is not on the image."""


class NoInk(ImageError):
    """Nothing stands out from the paper."""
