"""Pictures: each is described once (`figure`), and drawn as an image or as a page by its name."""
