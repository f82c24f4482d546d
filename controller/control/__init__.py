"""The fast step: a pure function of (state, snapshot) that returns set points and the reasons for them."""
