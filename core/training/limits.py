"""How much training may keep on the disk; known without torch, so that the dashboard can say so beforehand."""

import os

FEATURES = int(float(os.environ.get("THAW_FEATURES_GB", 10)) * 1e9)
"""Bytes that features may take before those unused for longest make room for new ones."""
FEATURE_BYTES = 4
"""Features are kept in 32 bits."""
