"""What each kind of layer contributes to a gradient."""
