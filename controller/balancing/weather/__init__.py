"""The weather forecast that the platform, or whoever it names, serves in the form of Open-Meteo's forecast API.

``reading`` judges what came, ``client`` fetches it over HTTPS, ``memory`` keeps every forecast that was news, so that
the box can learn what they are worth, and ``link`` puts them together.
"""
