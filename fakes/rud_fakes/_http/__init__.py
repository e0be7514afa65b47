"""An HTTP server that fails where a script says so; what it says when it does not is the business of a dialect."""
