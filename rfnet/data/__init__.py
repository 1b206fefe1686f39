"""Reading labelled pictures: RF1M, tables, shards, and labels made by hand."""
