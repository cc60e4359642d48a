"""What the browser device is made of: a page that runs models, the server that shows it, the runtimes, and Chromium."""
