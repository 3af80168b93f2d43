"""A page of HTML that holds everything a reader needs: what was measured, whether it is real, and the mask made of it."""
