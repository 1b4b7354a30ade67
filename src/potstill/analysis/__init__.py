"""What reads a finished study: gap, comparison, verification, reproduction, calibration."""
