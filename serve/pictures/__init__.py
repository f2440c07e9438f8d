"""Questions about pictures over HTTP."""
