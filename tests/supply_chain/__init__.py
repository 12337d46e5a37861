"""What is known of images: locks, bills of materials, labels, vulnerabilities, secrets."""
