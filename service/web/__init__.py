"""The pages: server-rendered, working without JavaScript and without a mouse."""
