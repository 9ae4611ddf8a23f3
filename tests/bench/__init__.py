"""Measurements: numbers for README and for the choice of constants. They send nothing to anybody."""
