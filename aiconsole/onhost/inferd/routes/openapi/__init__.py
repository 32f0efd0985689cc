"""What the API is, as data: OpenAPI 3.1, and the page for people that is made of it."""
