"""What is known of torch, each thing once: both examiners read it. It imports no torch, which takes a second."""
