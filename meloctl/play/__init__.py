"""One HTML page that draws pieces as piano rolls and plays them."""
