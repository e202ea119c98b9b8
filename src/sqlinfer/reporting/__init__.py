"""The report of a project as one HTML file: ``data`` → ``nights`` → ``page``. Pure: no file, no clock, no warehouse."""
