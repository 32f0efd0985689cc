"""All hosts on one screen."""
