"""A plug-in of opselect: one part of each kind, small and complete."""
