"""The callback family and the REST as documents of other tools: AsyncAPI, Postman, Bruno."""
