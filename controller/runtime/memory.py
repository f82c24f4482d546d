"""Memory that the process has had once and keeps: a cycle must not ask the kernel for its arrays again and again."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h> of the GNU C library
KEPT_BYTES = 64 << 20  # several times what a cycle of 200 units uses; the service may have 256 MB in all
ARRAY_BYTES_MAX = 32 << 20  # the largest that mallopt(3) takes; larger ones come from the kernel as ever


def keep_freed_memory() -> bool:
    """Let the allocator keep what is freed instead of giving it back; False where the C library has no such setting.

    A large site's arrays (2 MB each at 200 units) are otherwise mapped and unmapped several times per cycle, and every
    page is zeroed by the kernel before it is written: a quarter of the cycle's CPU time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, ARRAY_BYTES_MAX)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
