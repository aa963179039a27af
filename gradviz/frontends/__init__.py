"""Front ends: one package for each foreign framework whose programs gradviz records."""
