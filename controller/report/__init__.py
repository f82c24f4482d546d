"""The page of the morning: what bound, what was used, what it cost, who gave up what, and the proof."""
