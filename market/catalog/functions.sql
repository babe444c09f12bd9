-- The catalog's triggers and grants; re-applied by every upgrade, after market's own.

-- product_placed: what of a new product is not the application's to say. The merchant's row is held, so that a suspension in
-- flight does not miss the product.
CREATE OR REPLACE FUNCTION market.product_placed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
BEGIN
    NEW.taken_down := false;
    SELECT m.state = 'approved' INTO STRICT NEW.merchant_open FROM market.merchant m WHERE m.holder = NEW.merchant FOR SHARE;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER product_placed BEFORE INSERT ON market.product
    FOR EACH ROW EXECUTE FUNCTION market.product_placed();

-- merchant_moved: a suspended merchant's products are shown no more, and again when it is approved again.
CREATE OR REPLACE FUNCTION market.merchant_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
BEGIN
    UPDATE market.product SET merchant_open = (NEW.state = 'approved')
    WHERE merchant = NEW.holder AND merchant_open <> (NEW.state = 'approved');
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER merchant_moved AFTER UPDATE OF state ON market.merchant
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION market.merchant_moved();

-- product_priced: each price is a dated event. The application cannot write them, so it cannot leave one out.
CREATE OR REPLACE FUNCTION market.product_first_priced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
BEGIN
    INSERT INTO market.price_change (product, version, since, price, unit, by)
    SELECT n.id, n.version, n.changed_at, n.price, n.unit, n.changed_by FROM new_rows n;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER product_first_priced AFTER INSERT ON market.product REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION market.product_first_priced();

CREATE OR REPLACE FUNCTION market.product_priced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
BEGIN
    INSERT INTO market.price_change (product, version, since, price, unit, by)
    SELECT n.id, n.version, n.changed_at, n.price, n.unit, n.changed_by
    FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE (o.price, o.unit) IS DISTINCT FROM (n.price, n.unit);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER product_priced AFTER UPDATE ON market.product REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION market.product_priced();

-- takedown_decided: what the last decision says is what the product is.
CREATE OR REPLACE FUNCTION market.takedown_decided() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = market, pg_temp AS $$
BEGIN
    UPDATE market.product SET taken_down = NEW.hides WHERE id = NEW.product AND taken_down <> NEW.hides;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER takedown_decided AFTER INSERT ON market.takedown
    FOR EACH ROW EXECUTE FUNCTION market.takedown_decided();

-- is_open: whether a place is open at a minute of the city's day ("14:05"); a span of the night before may still run ("38:05").
-- Plain SQL, so that it is planned with the query that asks.
CREATE OR REPLACE FUNCTION market.is_open(p_hours jsonb, p_closed date[], p_day date, p_minute text, p_after_midnight text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (p_closed IS NULL OR NOT p_day = ANY (p_closed)) AND EXISTS (
               SELECT 1 FROM jsonb_array_elements(p_hours -> extract(isodow FROM p_day)::int::text) AS s
               WHERE s ->> 0 <= p_minute AND p_minute < s ->> 1)
        OR (p_closed IS NULL OR NOT p_day - 1 = ANY (p_closed)) AND EXISTS (
               SELECT 1 FROM jsonb_array_elements(p_hours -> extract(isodow FROM p_day - 1)::int::text) AS s
               WHERE s ->> 0 <= p_after_midnight AND p_after_midnight < s ->> 1)
$$;

DO $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY ARRAY['price_change', 'takedown', 'report'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON market.%I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.append_only()', one);
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION market.product_placed(), market.merchant_moved(), market.product_first_priced(), market.product_priced(),
    market.takedown_decided(), market.is_open(jsonb, date[], date, text, text) FROM PUBLIC;
GRANT SELECT ON market.category, market.product, market.price_change, market.takedown, market.report TO wallet_app, wallet_audit;
GRANT SELECT, INSERT ON market.term, market.term_key TO wallet_app;
GRANT INSERT ON market.product, market.takedown, market.report TO wallet_app;
GRANT UPDATE (sku, name, description, category, price, unit, gtin, photo, small, sold_out, archived, version, words, terms,
              changed_at, changed_by) ON market.product TO wallet_app;
GRANT EXECUTE ON FUNCTION market.is_open(jsonb, date[], date, text, text) TO wallet_app;
