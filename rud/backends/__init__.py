"""The stores that come with rud, one file each; imported when a URI asks for them."""
