"""The site file: strict YAML in field units, checked, and turned into :class:`~controller.domain.site.Site`."""
