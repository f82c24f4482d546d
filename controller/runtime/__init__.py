"""The shell around the pure core: polling, writing, ticking, publishing, supervising.

``process_image``, ``commands``, ``stretch`` and ``loop_sync`` are synchronous and know no clock but the instant they
are given; the rest is asyncio.
"""
