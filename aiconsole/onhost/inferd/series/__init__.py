"""Series that are made when somebody asks for them."""
