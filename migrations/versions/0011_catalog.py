"""The catalog: categories, products with their prices as dated events, what is reported and taken down, and the terms
that searches find products by.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables and their categories."""
    op.execute(TABLES)
    op.execute(CATEGORIES)


def downgrade() -> None:
    """Refuse: books are never unmade."""
    raise RuntimeError("the books have no way back: restore a dump instead")


TABLES = """
CREATE TABLE market.category (
    code TEXT NOT NULL CONSTRAINT category_code_check CHECK (code ~ '^[a-z]+(-[a-z]+)*$'),
    name TEXT NOT NULL,
    name_en TEXT NOT NULL,
    place SMALLINT NOT NULL,
    CONSTRAINT category_pkey PRIMARY KEY (code),
    CONSTRAINT category_place_once UNIQUE (place)
);
COMMENT ON TABLE market.category IS 'of products; a merchant''s own category is another matter';

CREATE TABLE market.product (
    id UUID NOT NULL,
    merchant UUID NOT NULL,
    sku TEXT NOT NULL CONSTRAINT product_sku_check CHECK (length(sku) BETWEEN 1 AND 40),
    name TEXT NOT NULL CONSTRAINT product_name_check CHECK (length(name) BETWEEN 1 AND 120),
    description TEXT NOT NULL,
    category TEXT NOT NULL,
    price BIGINT NOT NULL CONSTRAINT product_price_check CHECK (price BETWEEN 1 AND 10000000000),
    unit TEXT NOT NULL CONSTRAINT product_unit_check CHECK (unit IN ('piece', 'kg', 'bunch', 'lang', 'pack', 'box', 'bag', 'bottle', 'jar', 'litre', 'bowl', 'plate', 'glass', 'portion', 'animal', 'fruit', 'ten', 'pair', 'set', 'metre', 'sheet', 'turn')),
    gtin TEXT CONSTRAINT product_gtin_check CHECK (gtin ~ '^([0-9]{8}|[0-9]{12}|[0-9]{13}|[0-9]{14})$'),
    photo TEXT,
    small TEXT,
    sold_out BOOLEAN NOT NULL,
    archived BOOLEAN DEFAULT false NOT NULL,
    taken_down BOOLEAN DEFAULT false NOT NULL,
    merchant_open BOOLEAN NOT NULL,
    version INTEGER NOT NULL CONSTRAINT product_version_check CHECK (version >= 1),
    words SMALLINT NOT NULL,
    terms TEXT[] NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    changed_by UUID NOT NULL,
    CONSTRAINT product_pkey PRIMARY KEY (id),
    CONSTRAINT product_sku_once UNIQUE (merchant, sku),
    CONSTRAINT product_two_sizes_check CHECK ((photo IS NULL) = (small IS NULL)),
    CONSTRAINT product_merchant_fkey FOREIGN KEY(merchant) REFERENCES market.merchant (holder),
    CONSTRAINT product_category_fkey FOREIGN KEY(category) REFERENCES market.category (code),
    CONSTRAINT product_photo_fkey FOREIGN KEY(photo) REFERENCES market.photo (digest),
    CONSTRAINT product_small_fkey FOREIGN KEY(small) REFERENCES market.photo (digest),
    CONSTRAINT product_changed_by_fkey FOREIGN KEY(changed_by) REFERENCES identity.holder (id)
);
COMMENT ON COLUMN market.product.sku IS 'the merchant''s own number of it, by which a spreadsheet finds it again';
COMMENT ON COLUMN market.product.taken_down IS 'what the last takedown says; set by its trigger alone';
COMMENT ON COLUMN market.product.merchant_open IS 'whether its merchant is approved; set by triggers alone, so that a search need not look';
COMMENT ON COLUMN market.product.words IS 'how many words its name has: the fewer, the nearer to what was asked';
COMMENT ON COLUMN market.product.terms IS 'what it is found by: folded words of its name, their beginnings, neighbours joined, category, GTIN';
CREATE INDEX product_terms_idx ON market.product USING gin (terms);
CREATE INDEX product_found_idx ON market.product (sold_out, words, id) WHERE NOT archived AND NOT taken_down AND merchant_open;
CREATE INDEX product_category_idx ON market.product (category, id) WHERE NOT archived AND NOT taken_down AND merchant_open;
CREATE INDEX product_newest_idx ON market.product (id) WHERE NOT archived AND NOT taken_down AND merchant_open;
CREATE INDEX product_merchant_idx ON market.product (merchant, id);
CREATE INDEX product_changed_idx ON market.product (changed_at, id);

CREATE TABLE market.price_change (
    product UUID NOT NULL,
    version INTEGER NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    price BIGINT NOT NULL,
    unit TEXT NOT NULL,
    by UUID NOT NULL,
    CONSTRAINT price_change_pkey PRIMARY KEY (product, version),
    CONSTRAINT price_change_product_fkey FOREIGN KEY(product) REFERENCES market.product (id)
);
COMMENT ON TABLE market.price_change IS 'each price that a product ever had, and since when; written by the trigger of market.product alone';

CREATE TABLE market.takedown (
    id UUID NOT NULL,
    product UUID NOT NULL,
    hides BOOLEAN NOT NULL,
    cause TEXT NOT NULL CONSTRAINT takedown_cause_check CHECK (cause IN ('forbidden', 'counterfeit', 'misleading', 'price', 'photo', 'other', 'none')),
    reason TEXT NOT NULL CONSTRAINT takedown_reason_check CHECK (length(reason) BETWEEN 1 AND 300),
    officer UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT takedown_pkey PRIMARY KEY (id),
    CONSTRAINT takedown_hides_for_a_cause_check CHECK (hides = (cause <> 'none')),
    CONSTRAINT takedown_product_fkey FOREIGN KEY(product) REFERENCES market.product (id),
    CONSTRAINT takedown_officer_fkey FOREIGN KEY(officer) REFERENCES identity.holder (id)
);
COMMENT ON TABLE market.takedown IS 'what an officer decided about a product: hidden for a cause, or shown (again, or still)';
CREATE INDEX takedown_product_idx ON market.takedown (product, at);

CREATE TABLE market.report (
    product UUID NOT NULL,
    reporter UUID NOT NULL,
    cause TEXT NOT NULL CONSTRAINT report_cause_check CHECK (cause IN ('forbidden', 'counterfeit', 'misleading', 'price', 'photo', 'other')),
    note TEXT NOT NULL CONSTRAINT report_note_check CHECK (length(note) <= 300),
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT report_pkey PRIMARY KEY (product, reporter, at),
    CONSTRAINT report_product_fkey FOREIGN KEY(product) REFERENCES market.product (id),
    CONSTRAINT report_reporter_fkey FOREIGN KEY(reporter) REFERENCES identity.holder (id)
);
COMMENT ON TABLE market.report IS 'what somebody says is wrong with a product; open until an officer decides about it later';
CREATE INDEX report_at_idx ON market.report (at);

CREATE TABLE market.term (
    term TEXT NOT NULL,
    CONSTRAINT term_pkey PRIMARY KEY (term)
);
COMMENT ON TABLE market.term IS 'every term that a product was ever found by';

CREATE TABLE market.term_key (
    key TEXT NOT NULL,
    term TEXT NOT NULL,
    CONSTRAINT term_key_pkey PRIMARY KEY (key, term)
);
COMMENT ON TABLE market.term_key IS 'a term, and it without each of its letters: terms one slip apart share a key';
"""

CATEGORIES = """
INSERT INTO market.category (code, name, name_en, place) VALUES
    ('dac-san', 'Đặc sản Huế', 'Hue specialities', 1),
    ('mon-an', 'Món ăn', 'Meals', 2),
    ('banh', 'Bánh, chè', 'Cakes and sweet soups', 3),
    ('tra-ca-phe', 'Trà, cà phê, nước', 'Tea, coffee, drinks', 4),
    ('mam-gia-vi', 'Mắm, gia vị', 'Sauces and spices', 5),
    ('rau-cu', 'Rau, củ', 'Vegetables', 6),
    ('trai-cay', 'Trái cây', 'Fruit', 7),
    ('thit-ca', 'Thịt, cá, trứng', 'Meat, fish, eggs', 8),
    ('gao-do-kho', 'Gạo, đồ khô', 'Rice and dry goods', 9),
    ('tinh-dau', 'Tinh dầu, thảo dược', 'Essential oils and herbs', 10),
    ('ao-dai', 'Áo dài, vải vóc', 'Ao dai and textiles', 11),
    ('thu-cong', 'Nón lá, đồ thủ công', 'Conical hats and crafts', 12),
    ('hoa-huong', 'Hoa, hương, đồ cúng', 'Flowers, incense, offerings', 13),
    ('sach-qua', 'Sách, quà lưu niệm', 'Books and souvenirs', 14),
    ('gia-dung', 'Đồ gia dụng', 'Household goods', 15),
    ('dich-vu', 'Dịch vụ', 'Services', 16);
"""
