"""Customer limitation scheme of EREC G100 Issue 2: its states, and the reason to restrict that they make."""
