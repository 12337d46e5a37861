"""What is known of the container images: what is in them, and what must not be."""
