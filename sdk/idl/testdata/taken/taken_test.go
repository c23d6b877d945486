package taken

var httpServerZero = "mine, too"

var _ = httpServerZero
