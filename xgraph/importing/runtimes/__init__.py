"""Networks from elsewhere run by their own frameworks, a module for each."""
