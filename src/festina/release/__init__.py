"""The two references that matter: the working line and what is released; and the way back."""
