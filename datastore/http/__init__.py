"""The wire: one libcurl engine that carries out requests, whoever made them."""
