"""The demo city and the stand-in for its card processor. `wallet.demo.loading` enters it."""
