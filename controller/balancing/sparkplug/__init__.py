"""Fleet telemetry by MQTT Sparkplug B 3.0: this site as an edge node of somebody else's broker. Station process only.

``wire``, ``payload`` and ``decoding`` are the encoding, ``points`` names what a site has to tell, ``node``, ``host``
and ``commands`` say what is sent when; none of them has a clock or a socket. ``unsettled`` keeps what may have to be
sent again, ``session_number`` survives restarts, ``link`` puts them together, ``telemetry`` starts it.
What is and is not spoken: ``docs/sparkplug.md``.
"""
