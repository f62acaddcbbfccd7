// The packages exist only for their tests.
