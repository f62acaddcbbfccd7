// The packages are here for their tests.
