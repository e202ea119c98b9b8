"""The small vocabulary that the layers share: frozen values, no behaviour worth mocking."""
