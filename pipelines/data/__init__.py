"""Sources of labelled images. A recipe's `[data] source` names one of `sources.SOURCES`."""
